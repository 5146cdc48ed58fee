"""Fits a talker to one person."""
