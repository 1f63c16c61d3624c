# A pool whose runs are tasks of AWS's Elastic Container Service, on Fargate, half of them on Spot.

terraform {
  required_providers {
    forebay = {
      source = "forebay/forebay"
    }
  }
}

variable "image" {
  description = "An image with Python, forebay and the flows."
  type        = string
  default     = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/etl:2.4"
}

variable "execution_role_arn" {
  description = "Role with which ECS pulls the image, reads the secret and writes the logs."
  type        = string
  default     = "arn:aws:iam::123456789012:role/ecs-execution"
}

resource "forebay_work_pool" "ecs" {
  name              = "ecs"
  type              = "ecs"
  description       = "Nightly loads on Fargate"
  concurrency_limit = 20

  job_template_defaults = {
    image              = var.image
    cluster            = "flows"
    family             = "etl"
    cpu                = 1024
    memory             = 4096
    execution_role_arn = var.execution_role_arn
    task_role_arn      = "arn:aws:iam::123456789012:role/etl"

    capacity_provider_strategy = [
      { capacityProvider = "FARGATE", weight = 1, base = 1 },
      { capacityProvider = "FARGATE_SPOT", weight = 1, base = 0 },
    ]
    network_configuration = {
      subnets        = ["subnet-0a1b2c3d"]
      securityGroups = ["sg-0a1b2c3d"]
      assignPublicIp = "DISABLED"
    }

    configure_cloudwatch_logs       = true
    cloudwatch_logs_options         = { "awslogs-group" = "/flows/etl" }
    match_latest_revision_in_family = true
    prefect_api_key_secret_arn      = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:forebay"
    labels                          = { team = "data" }
  }
}
