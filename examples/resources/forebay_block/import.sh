terraform import forebay_block.warehouse secret/warehouse
terraform import forebay_block.warehouse 0f3d9c1e-7d4c-4b1f-8a66-5e2f4a7b9c99
