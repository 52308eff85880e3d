"""What connects monitoring's ports to the world."""
