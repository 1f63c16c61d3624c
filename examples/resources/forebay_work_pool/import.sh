terraform import forebay_work_pool.etl etl
terraform import forebay_work_pool.etl 7f0c7c66-3d5e-4a53-9f0a-0b5b5e8f2a11
