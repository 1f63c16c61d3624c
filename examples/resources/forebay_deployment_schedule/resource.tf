resource "forebay_flow" "load" {
  name = "load"
}

resource "forebay_deployment" "load" {
  flow_id = forebay_flow.load.id
  name    = "load"
}

resource "forebay_deployment_schedule" "workdays" {
  deployment_id = forebay_deployment.load.id
  slug          = "workdays"
  cron          = "0 6 * * MON-FRI"
  timezone      = "Europe/Berlin"
}

resource "forebay_deployment_schedule" "hourly" {
  deployment_id = forebay_deployment.load.id
  slug          = "hourly"
  interval      = "1h"
  parameters    = jsonencode({ full = false })
}

resource "forebay_deployment_schedule" "month_end" {
  deployment_id = forebay_deployment.load.id
  slug          = "month-end"
  rrule         = "FREQ=MONTHLY;BYMONTHDAY=-1"
  active        = false
}
