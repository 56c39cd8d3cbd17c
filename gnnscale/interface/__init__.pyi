from .fitted_model import Model as Model
from .fitted_model import load_model as load_model
from .graph_query import Query as Query
from .run_frame import compare_runs as compare_runs
from .run_frame import list_runs as list_runs
from .table_graph import Graph as Graph
