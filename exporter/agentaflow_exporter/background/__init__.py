"""What runs between scrapes, where something would be lost if nothing did."""
