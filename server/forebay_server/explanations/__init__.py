"""Why runs wait: the conditions of a claim, told instead of decided."""
