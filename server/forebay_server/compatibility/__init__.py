"""What stock clients ask for and Forebay has not."""
