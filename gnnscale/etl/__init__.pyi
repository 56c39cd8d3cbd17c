from .graph.graph_update import update_graph as update_graph
from .labels.label_stage import TASK as TASK
from .labels.label_stage import build_labels as build_labels
from .labels.label_stage import describe_labels as describe_labels
from .spark.session import close_session as close_session
from .spark.session import open_session as open_session
from .subgraph_shards.sample_shards import ShardPlan as ShardPlan
from .subgraph_shards.sample_shards import build_shards as build_shards
