from .interface import Graph as Graph
from .interface import Model as Model
from .interface import Query as Query
from .interface import compare_runs as compare_runs
from .interface import list_runs as list_runs
from .interface import load_model as load_model
from .lake import Lake as Lake
from .pipeline import ray_on_spark as ray_on_spark
from .publish import Store as Store
from .query import PredictiveQuery as PredictiveQuery
from .sampling import NeighborSampler as NeighborSampler
from .schema import ColumnType as ColumnType
from .schema import GnnscaleError as GnnscaleError
from .schema import Table as Table
from .store import GraphStore as GraphStore

__version__: str
