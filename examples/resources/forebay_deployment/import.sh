terraform import forebay_deployment.nightly load/nightly
terraform import forebay_deployment.nightly 2b5c8f8e-8f27-4f6e-8a34-0a4f0b1d7c66
