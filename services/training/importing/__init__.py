"""Models that were trained elsewhere: read, looked at, asked, and made into a bundle's graph. No torch."""
