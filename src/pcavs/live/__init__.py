"""Live sessions for people: a page that shows an avatar over WebRTC (`pcavs live`)."""
