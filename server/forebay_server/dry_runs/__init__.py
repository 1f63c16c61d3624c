"""What a template and job variables would give, without writing anything."""
