terraform import forebay_work_queue.urgent etl/urgent
terraform import forebay_work_queue.urgent 0c1e6f0a-52b9-4e0e-8c55-2f6a6a3f9d27
