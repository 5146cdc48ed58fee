"""Says where a film comes from: marks in the sound, signed credentials, and the check of any file."""
