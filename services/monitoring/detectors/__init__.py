"""The detector process: a Faust app over closed windows."""
