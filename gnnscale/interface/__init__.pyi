from .fitted_model import Model as Model
from .fitted_model import load_model as load_model
from .graph_query import Query as Query
from .table_graph import Graph as Graph
