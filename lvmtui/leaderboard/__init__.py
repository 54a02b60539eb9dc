"""What scores are worth beside each other: verdicts, ranks, seeds, protocols, equal pools."""
