terraform import forebay_flow.load load
terraform import forebay_flow.load 1d1b9d9b-3f3a-4d27-9d0e-7a0f2f6d4c55
