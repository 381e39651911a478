"""Parts of `ecgwatch alarms`: reading, acting, following, proving that none is missing."""
