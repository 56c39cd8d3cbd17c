# Databricks notebook source
# MAGIC %md
# MAGIC # 3. Training on Ray
# MAGIC Trains on the GPUs that there are, under an MLflow run in the lake.

# COMMAND ----------

# MAGIC %pip install --quiet gnnscale

# COMMAND ----------

dbutils.library.restartPython()

# COMMAND ----------

dbutils.widgets.text("catalog", "main", "Catalog of the tables")
dbutils.widgets.text("schema", "shop", "Schema of the tables")
dbutils.widgets.text("volume", "/Volumes/main/shop/lake", "Volume of the lake")
dbutils.widgets.text(
    "query",
    "PREDICT LIST_DISTINCT(purchases.product_id, 0, 7, days) RANK TOP 10 FOR EACH customers.customer_id",
    "Question",
)
dbutils.widgets.text("settings", "", "key=value, with spaces between")

# COMMAND ----------

catalog, schema = dbutils.widgets.get("catalog"), dbutils.widgets.get("schema")
lake = dbutils.widgets.get("volume") + "/lake"
settings = dbutils.widgets.get("settings").split()

# COMMAND ----------

import gnnscale as gs

names = [row.tableName for row in spark.sql(f"SHOW TABLES IN {catalog}.{schema}").collect() if not row.isTemporary]
graph = gs.Graph.from_tables({name: f"{catalog}.{schema}.{name}" for name in names})
question = graph.query(dbutils.widgets.get("query"), name="question")

# COMMAND ----------

# The Ray has the cores and GPUs of the Spark cluster's executors; on a machine alone it begins by itself.
with gs.ray_on_spark(spark):
    question.run(lake, ["train"], overrides=settings)

# COMMAND ----------

display(gs.list_runs(lake))
