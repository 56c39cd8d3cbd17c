from .dagster_assets import stage_assets as stage_assets
