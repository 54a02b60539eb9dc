"""What can be wrong with data and with a training, found while or before it costs anything."""
