"""What Terraform's language can call here: `provider::forebay::NAME(…)`."""

from forebay_provider.functions import ids, job_templates

FUNCTIONS = (*job_templates.FUNCTIONS, *ids.FUNCTIONS)
