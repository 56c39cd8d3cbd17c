# Databricks notebook source
# MAGIC %md
# MAGIC # 1. Tables to a graph
# MAGIC Connects the tables of a schema by their keys, and builds the graph on Spark.

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

# Tables, types, keys, times and links, and what was inferred from what.
display(graph)

# COMMAND ----------

question.run(lake, ["graph"], overrides=settings)

# COMMAND ----------

store = gs.GraphStore.open(gs.Lake(lake))
display(spark.createDataFrame([(table.name, table.rows) for table in store.manifest.tables], ["table", "nodes"]))
