# Databricks notebook source
# MAGIC %md
# MAGIC # 4. Batch retrieval
# MAGIC Embeds entities and targets, ranks the targets of every entity, and compares with baselines on the holdout.

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

question.run(lake, ["embed", "retrieve", "evaluate"], overrides=settings)

# COMMAND ----------

predictions = spark.read.format("delta").load(f"{lake}/predictions_{question.name}")
display(predictions.where("rank <= 3").orderBy("entity", "rank"))

# COMMAND ----------

model = gs.load_model(lake, question.name)
display(model.metrics)
