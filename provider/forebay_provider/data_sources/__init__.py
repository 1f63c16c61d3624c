"""What Terraform can look up here."""

from forebay_provider.data_sources.work_pool import WorkPoolDataSource

DATA_SOURCES = (WorkPoolDataSource,)
