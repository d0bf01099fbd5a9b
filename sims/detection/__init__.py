"""Whether detectors notice what is wrong: faults are put into agents of any scenario, and detectors judged by them."""
