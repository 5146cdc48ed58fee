"""What is done with weights: published ones come in, networks for OpenVINO go out, and any are looked at."""
