"""Executes GraphQL documents against the shop, by the schema; keeps the app's bucket of points."""

from __future__ import annotations

import json
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLCompositeType,
    GraphQLError,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    build_schema,
    execute_sync,
    get_named_type,
    get_nullable_type,
    parse,
    validate,
)
from graphql.execution.values import VariableValues, get_argument_values, get_variable_values

from include.sandbox.shopify import resources
from include.sandbox.shopify.search import parse as parse_search
from include.sandbox.shopify.shop import Shop

SCHEMA_FILE = Path(__file__).with_name("admin_2026-10.graphql")
CONNECTION = "Connection"
LARGEST_PAGE = 250
LARGEST_COST = 1000
CONNECTION_COST = 2
MUTATION_COST = 10
DOCS = "https://shopify.dev/api/usage"
# Fields of the root that are answered where codes are added.
DISCOUNT_FIELDS = ("codeDiscountNodeByCode", "discountRedeemCodeBulkCreation")
CURSOR_FORM = ("T", "Z"), (" ", ".000000")

# What an object of a type asks the app to be allowed, any one of them.
ACCESS: dict[str, tuple[str, ...]] = {
    "Order": ("read_orders", "read_marketplace_orders"),
    "Customer": ("read_customers",),
    "Product": ("read_products",),
    "ProductVariant": ("read_products",),
    "InventoryItem": ("read_inventory", "read_products"),
}


def load_schema() -> GraphQLSchema:
    """The part of Shopify's schema that is answered here."""
    return build_schema(SCHEMA_FILE.read_text(encoding="utf-8"))


def record_number(global_id: str) -> tuple[str, int]:
    """The kind and the number in a global id. Raises `GraphQLError`."""
    kind, _, number = global_id.removeprefix("gid://shopify/").partition("/")
    if not global_id.startswith("gid://shopify/") or not number.isdigit():
        raise GraphQLError(f"Invalid global id '{global_id}'")
    return kind, int(number)


def cursor_of(value: Any, number: int) -> str:
    """A cursor as Shopify writes it: the last id and the last value of the sort key."""
    if isinstance(value, str):
        for old, new in zip(*CURSOR_FORM, strict=True):
            value = value.replace(old, new)
    content = {"last_id": number, "last_value": str(value)}
    return b64encode(json.dumps(content, separators=(",", ":")).encode()).decode()


def read_cursor(cursor: str | None) -> tuple[str, int] | None:
    """The value and the id in a cursor. Raises `GraphQLError`."""
    if cursor is None:
        return None
    try:
        content = json.loads(b64decode(cursor))
        value, number = str(content["last_value"]), int(content["last_id"])
    except (ValueError, KeyError, TypeError):
        raise GraphQLError(f"Invalid cursor for current pagination sort: {cursor}") from None
    for new, old in zip(*CURSOR_FORM, strict=True):
        value = value.replace(old, new)
    return value, number


def asked(arguments: Mapping[str, Any]) -> int:
    """How many objects a connection is asked for. Raises `GraphQLError`."""
    first = arguments.get("first")
    if first is None:
        raise GraphQLError("you must provide one of first or last")
    if not 0 < first <= LARGEST_PAGE:
        raise GraphQLError(f"first must be between 1 and {LARGEST_PAGE}")
    return int(first)


def page_of(nodes: list[Any], cursors: list[str], has_next: bool, has_previous: bool) -> Any:
    """A connection."""
    return {
        "nodes": nodes,
        "edges": [
            {"node": node, "cursor": cursor} for node, cursor in zip(nodes, cursors, strict=True)
        ],
        "pageInfo": {
            "hasNextPage": has_next,
            "hasPreviousPage": has_previous,
            "startCursor": cursors[0] if cursors else None,
            "endCursor": cursors[-1] if cursors else None,
        },
    }


def slice_of(items: list[Any], arguments: Mapping[str, Any]) -> Any:
    """A page of a connection that stands as a list."""
    after = read_cursor(arguments.get("after"))
    start = int(after[0]) + 1 if after else 0
    end = start + asked(arguments)
    cursors = [cursor_of(place, place) for place in range(start, min(end, len(items)))]
    return page_of(items[start:end], cursors, end < len(items), start > 0)


class Records:
    """The root fields and the links between records."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.settings = shop.settings()

    def resource(self, row: Any) -> dict[str, Any]:
        """A stored record as the API's object."""
        from_row: dict[str, Callable[[], dict[str, Any]]] = {
            "Order": lambda: resources.order_resource(
                document, row["updated_at"], self.settings.currency
            ),
            "Customer": lambda: resources.customer_resource(document, row["updated_at"]),
            "Product": lambda: resources.product_resource(
                document, row["updated_at"], self.settings.currency
            ),
        }
        document = self.shop.parse(row)
        return from_row[row["kind"]]()

    def one(self, kind: str, number: int | None) -> dict[str, Any] | None:
        """A record by its number, if the app may see it."""
        if number is None:
            return None
        if kind == "Refund":
            return self.refund(number)
        row = self.shop.row(kind, number)
        if row is None or not self.shop.is_visible(kind, row["created_at"]):
            return None
        return self.resource(row)

    def refund(self, number: int) -> dict[str, Any] | None:
        """A refund by its number."""
        order = self.shop.order_of_refund(number)
        found = self.one("Order", order) if order is not None else None
        wanted = resources.gid("Refund", number)
        refunds = found["refunds"] if found else []
        return next((refund for refund in refunds if refund["id"] == wanted), None)

    def connection(self, kind: str, arguments: Mapping[str, Any]) -> Any:
        """A page of the shop's records or events."""
        count = asked(arguments)
        if arguments.get("reverse") or arguments.get("before") or arguments.get("savedSearchId"):
            raise GraphQLError("the sandbox pages forward only")
        bounds = parse_search(kind, arguments.get("query"))
        sort = arguments["sortKey"]
        last: tuple[Any, int] | None = read_cursor(arguments.get("after"))
        if last and sort == "ID":
            last = (int(last[0]), last[1])
        if kind == "Event":
            rows = self.shop.events(bounds, sort, last, count + 1)
            nodes = [self.event(row) for row in rows[:count]]
        else:
            rows = self.shop.page(kind, bounds, sort, last, count + 1)
            nodes = [self.resource({**dict(row), "kind": kind}) for row in rows[:count]]
        cursors = [cursor_of(row["sort_value"], row["id"]) for row in rows[:count]]
        if self.settings.unsorted:
            nodes.reverse()
        return page_of(nodes, cursors, len(rows) > count, last is not None)

    def count(self, kind: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """How many records match; no more than the limit are counted."""
        limit = arguments.get("limit")
        bounds = parse_search(kind, arguments.get("query"))
        found = self.shop.count(kind, bounds, 2**31 if limit is None else limit + 1)
        if limit is not None and found > limit:
            return {"count": limit, "precision": "AT_LEAST"}
        return {"count": found, "precision": "EXACT"}

    def event(self, row: Any) -> dict[str, Any]:
        """A deletion, as the shop's timeline tells it."""
        kind = row["subject_type"].capitalize()
        return {
            "__typename": "BasicEvent",
            "id": resources.gid("BasicEvent", row["id"]),
            "action": row["action"],
            "appTitle": None,
            "attributeToApp": False,
            "attributeToUser": True,
            "createdAt": row["created_at"],
            "criticalAlert": False,
            "message": f"{kind} was deleted",
            "subjectId": resources.gid(kind, row["subject_id"]),
            "subjectType": row["subject_type"],
        }

    def root(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """A field of QueryRoot."""
        kinds = {"orders": "Order", "customers": "Customer", "products": "Product"}
        if name in kinds:
            return self.connection(kinds[name], arguments)
        if name.removesuffix("Count") in kinds:
            return self.count(kinds[name.removesuffix("Count")], arguments)
        if name == "events":
            return self.connection("Event", arguments)
        if name == "node":
            return self.one(*record_number(arguments["id"]))
        if name == "nodes":
            if len(arguments["ids"]) > LARGEST_PAGE:
                raise GraphQLError(
                    f"The input array size of {len(arguments['ids'])} is greater than the maximum "
                    f"allowed of {LARGEST_PAGE}."
                )
            return [self.one(*record_number(global_id)) for global_id in arguments["ids"]]
        if name == "shop":
            return {
                "id": resources.gid("Shop", 1),
                "name": self.settings.name,
                "myshopifyDomain": self.settings.domain,
                "currencyCode": self.settings.currency,
                "ianaTimezone": self.settings.time_zone,
                "plan": {
                    "publicDisplayName": "Basic",
                    "shopifyPlus": False,
                    "partnerDevelopment": True,
                },
            }
        scopes = [{"handle": scope, "description": scope} for scope in self.settings.scopes]
        return {"id": resources.gid("AppInstallation", 1), "accessScopes": scopes}

    def value(
        self, parent: str, name: str, returned: GraphQLOutputType, source: Any, arguments: Any
    ) -> Any:
        """What a field holds. Raises `GraphQLError` if the app lacks the scope for it."""
        self.check_access(name, returned)
        if parent == "QueryRoot":
            return self.root(name, arguments)
        found = source.get(name)
        if parent in ("Order", "LineItem", "ProductVariant"):
            if name in ("customer", "product"):
                return self.one(name.capitalize(), found)
            if name == "variant":
                return self.variant(source["product"], found)
        if str(get_named_type(returned)).endswith(CONNECTION):
            return slice_of(found or [], arguments)
        if isinstance(found, list) and arguments.get("first") is not None:
            return found[: arguments["first"]]
        return found

    def variant(self, product: int | None, number: int | None) -> dict[str, Any] | None:
        """A product's variant."""
        found = self.one("Product", product) if number is not None else None
        wanted = resources.gid("ProductVariant", number or 0)
        variants = found["variants"] if found else []
        return next((variant for variant in variants if variant["id"] == wanted), None)

    def check_access(self, name: str, returned: GraphQLOutputType) -> None:
        """Raise `GraphQLError` if what a field returns asks for a scope that the app lacks."""
        kind = str(get_named_type(returned)).removesuffix(CONNECTION)
        counted = {"ordersCount": "Order", "customersCount": "Customer", "productsCount": "Product"}
        wanted = ACCESS.get(counted.get(name, kind))
        if wanted and not set(wanted) & set(self.settings.scopes):
            required = f"`{wanted[0]}` access scope."
            raise GraphQLError(
                f"Access denied for {name} field. Required access: {required}",
                extensions={
                    "code": "ACCESS_DENIED",
                    "documentation": f"{DOCS}/access-scopes",
                    "requiredAccess": required,
                },
            )


@dataclass
class Bucket:
    """The points that an app may spend; it fills up again all the time."""

    size: float
    rate: float
    available: float
    at: float
    wasted: float = 0

    def refill(self, size: float, rate: float) -> None:
        """Add what time has restored."""
        instant = time.monotonic()
        if (size, rate) != (self.size, self.rate):
            self.size, self.rate, self.available = size, rate, size
        restored = self.available + (instant - self.at) * self.rate
        self.available = min(self.size, restored)
        self.wasted += restored - self.available
        self.at = instant

    def status(self) -> dict[str, float]:
        """The bucket as the answers show it."""
        return {
            "maximumAvailable": float(self.size),
            "currentlyAvailable": int(self.available),
            "restoreRate": float(self.rate),
        }


class Executor:
    """Answers documents within the limits of the app's bucket."""

    def __init__(self, shop: Shop, mutations: Mapping[str, Callable[..., Any]]) -> None:
        self.shop = shop
        self.schema = load_schema()
        self.mutations = mutations
        self.bucket = Bucket(1, 1, 0, time.monotonic())
        self._checked = lru_cache(64)(self.check)
        self.spent = 0.0
        self.throttled = 0

    def check(self, text: str) -> tuple[DocumentNode | None, list[Any]]:
        """A document that the schema allows, or else why it does not."""
        try:
            document = parse(text)
        except GraphQLError as error:
            return None, [error.formatted]
        problems = validate(self.schema, document)
        return (None if problems else document), [problem.formatted for problem in problems]

    def answer(self, text: str, variables: dict[str, Any] | None, base_url: str) -> dict[str, Any]:
        """The whole answer to a document, as a JSON object."""
        document, problems = self._checked(text)
        if document is None:
            return {"errors": problems}
        operation = next(
            node for node in document.definitions if isinstance(node, OperationDefinitionNode)
        )
        settings = self.shop.settings()
        self.bucket.refill(settings.bucket, settings.restore_rate)
        values = get_variable_values(
            self.schema, operation.variable_definitions or (), variables or {}
        )
        if isinstance(values, list):
            return {"errors": [problem.formatted for problem in values]}
        cost = Cost(self.schema, document, values)
        try:
            requested = cost.requested(operation)
        except GraphQLError as error:
            return {"errors": [error.formatted]}
        if requested > LARGEST_COST:
            return {"errors": [too_dear(requested)]}
        if requested > self.bucket.available:
            self.throttled += 1
            return {
                "errors": [
                    {
                        "message": "Throttled",
                        "extensions": {
                            "code": "THROTTLED",
                            "documentation": f"{DOCS}/rate-limits",
                        },
                    }
                ],
                "extensions": {"cost": self._cost(requested, None)},
            }
        records = Records(self.shop)

        def resolve(source: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
            parent, name = info.parent_type.name, info.field_name
            if parent == "Mutation" or (parent == "QueryRoot" and name in DISCOUNT_FIELDS):
                return self.mutations[name](base_url=base_url, **arguments)
            is_operation = str(arguments.get("id", "")).startswith("gid://shopify/BulkOperation/")
            if parent == "QueryRoot" and (name == "bulkOperation" or is_operation):
                return self.mutations["bulkOperation"](base_url=base_url, **arguments)
            return records.value(parent, name, info.return_type, source, arguments)

        result = execute_sync(
            self.schema,
            document,
            variable_values=variables,
            field_resolver=resolve,
            type_resolver=lambda value, *_: value["__typename"],
        )
        actual = cost.actual(operation, result.data)
        self.bucket.available -= actual
        self.spent += actual
        answer: dict[str, Any] = {"data": result.data}
        if result.errors:
            answer["errors"] = [error.formatted for error in result.errors]
        answer["extensions"] = {"cost": self._cost(requested, actual)}
        return answer

    def account(self) -> dict[str, float]:
        """Points spent and those that found the bucket full, and how many calls were throttled."""
        settings = self.shop.settings()
        self.bucket.refill(settings.bucket, settings.restore_rate)
        return {
            "spent": self.spent,
            "wasted": self.bucket.wasted,
            "available": self.bucket.available,
            "throttled": self.throttled,
        }

    def _cost(self, requested: int, actual: int | None) -> dict[str, Any]:
        return {
            "requestedQueryCost": requested,
            "actualQueryCost": actual,
            "throttleStatus": self.bucket.status(),
        }


def too_dear(cost: int) -> dict[str, Any]:
    """The error for a query that no bucket could pay."""
    return {
        "message": f"Query cost is {cost}, which exceeds the single query max cost limit "
        f"({LARGEST_COST}). See {DOCS}/rate-limits for more information on how the cost of a "
        "query is calculated.",
        "extensions": {
            "code": "MAX_COST_EXCEEDED",
            "cost": cost,
            "maxCost": LARGEST_COST,
            "documentation": f"{DOCS}/rate-limits",
        },
    }


class Cost:
    """What a document costs: a record is a point, a connection two and its records."""

    def __init__(
        self, schema: GraphQLSchema, document: DocumentNode, variables: VariableValues | None = None
    ) -> None:
        self.schema = schema
        self.variables = variables
        self.fragments = {
            node.name.value: node
            for node in document.definitions
            if isinstance(node, FragmentDefinitionNode)
        }

    def requested(self, operation: OperationDefinitionNode) -> int:
        """The most it can cost."""
        return self._operation(operation, None, is_actual=False)

    def actual(self, operation: OperationDefinitionNode, data: Any) -> int:
        """What the objects that came cost."""
        return self._operation(operation, data, is_actual=True)

    def _operation(self, operation: OperationDefinitionNode, data: Any, is_actual: bool) -> int:
        root = self.schema.get_root_type(operation.operation)
        assert root is not None
        base = MUTATION_COST if operation.operation.value == "mutation" else 0
        return base + self._selection(root, operation.selection_set, data, is_actual)

    def _selection(
        self, kind: GraphQLCompositeType, selection: SelectionSetNode, data: Any, is_actual: bool
    ) -> int:
        if is_actual and data is None:
            return 0
        return sum(
            self._field(parent, node, data, is_actual)
            for parent, node in self.fields(kind, selection)
        )

    def fields(
        self, kind: GraphQLCompositeType, selection: SelectionSetNode
    ) -> list[tuple[GraphQLCompositeType, FieldNode]]:
        """The fields of a selection, those of its fragments too, each with its type."""
        found: list[tuple[GraphQLCompositeType, FieldNode]] = []
        for node in selection.selections:
            if isinstance(node, FieldNode):
                found.append((kind, node))
                continue
            fragment = (
                node
                if isinstance(node, InlineFragmentNode)
                else self.fragments[cast(FragmentSpreadNode, node).name.value]
            )
            condition = fragment.type_condition
            inner = self.schema.type_map[condition.name.value] if condition else kind
            found += self.fields(cast(GraphQLCompositeType, inner), fragment.selection_set)
        return found

    def _field(
        self, kind: GraphQLCompositeType, node: FieldNode, data: Any, is_actual: bool
    ) -> int:
        name = node.name.value
        if name.startswith("__") or node.selection_set is None:
            return 0
        assert isinstance(kind, GraphQLObjectType | GraphQLInterfaceType)
        field = kind.fields[name]
        named = cast(GraphQLCompositeType, get_named_type(field.type))
        value = data.get(node.alias.value if node.alias else name) if is_actual else None
        arguments = get_argument_values(field, node, self.variables)
        inside = (named, node.selection_set)
        if named.name.endswith(CONNECTION):
            if is_actual:
                return CONNECTION_COST + self._selection(*inside, value, is_actual)
            count = asked(arguments)
            return CONNECTION_COST + count * self._selection(*inside, None, is_actual)
        if isinstance(get_nullable_type(field.type), GraphQLList):
            if is_actual:
                return sum(
                    self._own(named) + self._selection(*inside, item, is_actual)
                    for item in value or ()
                    if item is not None
                )
            ids = arguments.get("ids")
            count = len(ids) if ids is not None else (arguments.get("first") or 1)
            return count * (self._own(named) + self._selection(*inside, None, is_actual))
        if is_actual and value is None:
            return 0
        return self._own(named) + self._selection(*inside, value, is_actual)

    def _own(self, kind: Any) -> int:
        """A point for a record; values inside one, and the wrappers of a connection, are free."""
        node = self.schema.type_map["Node"]
        is_record = kind is node or node in getattr(kind, "interfaces", ())
        return 1 if is_record else 0
