"""Evaluation metrics: functions from frames, landmarks and sound to numbers, and the judges behind some of them.

A judge is a frozen network that scores and that nothing is ever trained against.
"""
