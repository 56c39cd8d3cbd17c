from .hyperparameter_search import SEARCH as SEARCH
from .hyperparameter_search import choose_trials as choose_trials
from .hyperparameter_search import search_settings as search_settings
from .local_ray import stop_ray as stop_ray
from .lost_processes import find_lost as find_lost
from .ray_embed import embed_lake as embed_lake
from .ray_index import ray_shards as ray_shards
from .ray_train import train_with_ray as train_with_ray
