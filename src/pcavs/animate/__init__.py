"""A picture, a voice and a pose source become a talking film."""
