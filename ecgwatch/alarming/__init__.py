"""What `ecgwatch alarms` is made of: reading, acting, following, proving that none is missing."""
