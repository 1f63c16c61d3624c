terraform import forebay_deployment_schedule.hourly load/load/hourly
terraform import forebay_deployment_schedule.hourly 2b5c8f8e-8f27-4f6e-8a34-0a4f0b1d7c66/9c3f7f0a-0d55-4a7b-9a31-6f0c2d8e1b77
