"""How they are changed: each operation compares and then yields commands, or says why nothing happened."""
