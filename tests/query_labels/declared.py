"""The small database's graph as declarations, for what needs no rows."""

from __future__ import annotations

from gnnscale.schema import GraphSchema, Table

COLUMNS = {
    "users": {
        "user_id": "text",
        "country": "text",
        "age": "number",
        "premium": "boolean",
        "email": "text",
        "birthday": "time",
        "city_id": "number",
        "joined": "time",
        "left": "time",
        "hobbies": "text",
    },
    "cities": {"city_id": "number", "name": "text", "size": "text", "founded": "time"},
    "items": {
        "item_id": "number",
        "category": "text",
        "price": "number",
        "Unit Price": "number",
        "shelf": "number",
        "code": "text",
    },
    "orders": {
        "order_id": "number",
        "user_id": "text",
        "item_id": "number",
        "amount": "number",
        "quantity": "number",
        "channel": "text",
        "gift": "boolean",
        "note": "text",
        "ordered_at": "time",
    },
    "visits": {"user_id": "text", "page": "text", "seconds": "number", "at": "time", "topics": "text"},
    "reviews": {"user_id": "text", "item_id": "number", "stars": "number", "text": "text"},
}
"""Table -> column -> kind of its values."""


def declared_graph() -> GraphSchema:
    """Tables, columns and links of :mod:`tests.query_labels.database`."""
    return GraphSchema(
        [
            Table(
                "users",
                primary_key="user_id",
                time_column="joined",
                end_time="left",
                columns={"email": "ignore", "hobbies": "multicategorical"},
                foreign_keys={"city_id": "cities"},
                kinds=COLUMNS["users"],
            ),
            Table("cities", primary_key="city_id", kinds=COLUMNS["cities"]),
            Table("items", primary_key="item_id", columns={"shelf": "categorical"}, kinds=COLUMNS["items"]),
            Table(
                "orders",
                primary_key="order_id",
                time_column="ordered_at",
                foreign_keys={"user_id": "users", "item_id": "items"},
                kinds=COLUMNS["orders"],
            ),
            Table(
                "visits",
                time_column="at",
                columns={"topics": "multicategorical"},
                foreign_keys={"user_id": "users"},
                kinds=COLUMNS["visits"],
            ),
            Table("reviews", foreign_keys={"user_id": "users", "item_id": "items"}, kinds=COLUMNS["reviews"]),
        ]
    )
