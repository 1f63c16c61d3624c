terraform import forebay_variable.retention retention
terraform import forebay_variable.retention 6e6f0d0a-4b8f-4f0a-9a0f-3c9f7b2d5e88
