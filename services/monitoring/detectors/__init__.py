"""The detectors' process: a Faust app over closed windows."""
