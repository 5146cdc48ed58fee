"""Trains a talker, stage by stage."""
