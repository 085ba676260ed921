"""Bulk operations: a query without pages, run in the background, its objects as JSON Lines."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, cast

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLCompositeType,
    GraphQLError,
    GraphQLList,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    get_named_type,
    get_nullable_type,
    parse,
    validate,
)
from graphql.execution.values import get_argument_values

from include.sandbox.answers import dump
from include.sandbox.shopify.execution import (
    CONNECTION,
    LARGEST_PAGE,
    Cost,
    Records,
    load_schema,
    record_number,
)
from include.sandbox.shopify.resources import gid
from include.sandbox.shopify.shop import Shop

OPERATIONS_AT_ONCE = 5
MOST_CONNECTIONS = 5
DEEPEST_NESTING = 2
DAYS_KEPT = 7
CHUNK = 1 << 20


class BulkOperations:
    """The shop's bulk operations."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.schema = load_schema()

    def run(self, base_url: str, query: str, groupObjects: bool) -> dict[str, Any]:
        """Begin an operation; what it reads is what the shop holds now."""
        messages = refusals(self.schema, query)
        if messages:
            return self._refused([(message, "INVALID") for message in messages])
        running = self.shop.truth.count(
            "SELECT count(*) FROM shopify_bulk_operations WHERE status IN ('CREATED', 'RUNNING')"
        )
        if running >= OPERATIONS_AT_ONCE:
            return self._refused(
                [("Bulk operations limit reached. Please try again later.", "LIMIT_REACHED")]
            )
        settings = self.shop.settings()
        with self.shop.truth.connection as connection:
            number = connection.execute(
                """
                INSERT INTO shopify_bulk_operations (query, status, error, polls, created_at)
                VALUES (?, 'CREATED', ?, ?, ?)
                """,
                (query, settings.bulk_error, settings.bulk_polls, self.shop.now()),
            ).lastrowid
        if settings.bulk_error:
            self.shop.change_settings({"bulk_error": None})
        assert number is not None
        self._write(number, query)
        return {"bulkOperation": self.get(base_url, gid("BulkOperation", number)), "userErrors": []}

    def cancel(self, base_url: str, id: str) -> dict[str, Any]:
        """Cancel an operation that is not done."""
        with self.shop.truth.connection as connection:
            connection.execute(
                """
                UPDATE shopify_bulk_operations SET status = 'CANCELED'
                WHERE number = ? AND status IN ('CREATED', 'RUNNING')
                """,
                (record_number(id)[1],),
            )
        return {"bulkOperation": self.get(base_url, id), "userErrors": []}

    def poll(self, base_url: str, id: str) -> dict[str, Any] | None:
        """How far an operation is; asking brings it forward."""
        number = record_number(id)[1]
        with self.shop.truth.connection as connection:
            connection.execute(
                """
                UPDATE shopify_bulk_operations SET
                    polls = polls - 1,
                    status = CASE
                        WHEN polls > 0 THEN 'RUNNING'
                        WHEN error IS NOT NULL THEN 'FAILED'
                        ELSE 'COMPLETED'
                    END,
                    completed_at = iif(polls > 0, NULL, ?)
                WHERE number = ? AND status IN ('CREATED', 'RUNNING')
                """,
                (self.shop.now(), number),
            )
        return self.get(base_url, id)

    def get(self, base_url: str, id: str) -> dict[str, Any] | None:
        """An operation as the API shows it."""
        row = self.shop.truth.one(
            """
            SELECT operations.*, coalesce(sum(length(chunk)), 0) AS bytes
            FROM shopify_bulk_operations AS operations
            LEFT JOIN shopify_bulk_chunks USING (number)
            WHERE operations.number = ?
            """,
            (record_number(id)[1],),
        )
        if row is None or row["number"] is None:
            return None
        status, url = row["status"], None
        if status in ("COMPLETED", "FAILED"):
            url = f"{base_url}/bulk/{row['number']}.jsonl" if row["bytes"] else None
            age = datetime.fromisoformat(self.shop.now()) - datetime.fromisoformat(
                row["completed_at"]
            )
            if age > timedelta(days=DAYS_KEPT):
                status, url = "EXPIRED", None
        is_failed = row["status"] == "FAILED"
        return {
            "__typename": "BulkOperation",
            "id": id,
            "type": "QUERY",
            "query": row["query"],
            "status": status,
            "errorCode": row["error"] if is_failed else None,
            "createdAt": row["created_at"],
            "completedAt": None if is_failed else row["completed_at"],
            "objectCount": str(row["objects"]),
            "rootObjectCount": str(row["roots"]),
            "fileSize": str(row["bytes"]) if url else None,
            "url": None if is_failed else url,
            "partialDataUrl": url if is_failed else None,
        }

    def result(self, number: int) -> bytes:
        """The lines of an operation's result."""
        rows = self.shop.truth.all(
            "SELECT chunk FROM shopify_bulk_chunks WHERE number = ? ORDER BY place", (number,)
        )
        return b"".join(row["chunk"] for row in rows)

    def _write(self, number: int, query: str) -> None:
        """Run the query and keep its lines; one that fails keeps half of them."""
        walk = Walk(self.schema, Records(self.shop), parse(query))
        failed = self.shop.truth.one(
            "SELECT error FROM shopify_bulk_operations WHERE number = ?", (number,)
        )
        objects = walk.objects()
        lines = [dump(item) + b"\n" for item in objects]
        if failed and failed["error"]:
            lines = [] if failed["error"] == "ACCESS_DENIED" else lines[: len(lines) // 2]
        whole = b"".join(lines)
        with self.shop.truth.connection as connection:
            connection.executemany(
                "INSERT INTO shopify_bulk_chunks (number, place, chunk) VALUES (?, ?, ?)",
                [
                    (number, place, whole[place : place + CHUNK])
                    for place in range(0, len(whole), CHUNK)
                ],
            )
            connection.execute(
                "UPDATE shopify_bulk_operations SET objects = ?, roots = ? WHERE number = ?",
                (len(lines), walk.roots, number),
            )

    @staticmethod
    def _refused(problems: list[tuple[str, str]]) -> dict[str, Any]:
        errors = [
            {
                "__typename": "BulkOperationUserError",
                "field": ["query"],
                "message": message,
                "code": code,
            }
            for message, code in problems
        ]
        return {"bulkOperation": None, "userErrors": errors}


class Walk:
    """Walks through all pages of a query, and through the connections inside."""

    def __init__(self, schema: GraphQLSchema, records: Records, document: DocumentNode) -> None:
        self.schema = schema
        self.records = records
        self.cost = Cost(schema, document)
        self.operation = cast(OperationDefinitionNode, document.definitions[0])
        self.roots = 0

    def objects(self) -> Iterator[dict[str, Any]]:
        """Every object; one inside another's connection comes after it, with `__parentId`."""
        assert self.schema.query_type is not None
        for parent, node in self.cost.fields(self.schema.query_type, self.operation.selection_set):
            field = cast(GraphQLObjectType, parent).fields[node.name.value]
            arguments = get_argument_values(field, node) | {"first": LARGEST_PAGE}
            while True:
                page = self.records.value("QueryRoot", node.name.value, field.type, {}, arguments)
                for item in page["nodes"]:
                    self.roots += 1
                    yield from self._object(field.type, node, item, None)
                if not page["pageInfo"]["hasNextPage"]:
                    break
                arguments = {**arguments, "after": page["pageInfo"]["endCursor"]}

    def _object(
        self, connection: Any, field: FieldNode, item: dict[str, Any], parent: str | None
    ) -> Iterator[dict[str, Any]]:
        children: list[tuple[Any, FieldNode, dict[str, Any]]] = []
        kind, selection = node_selection(self.schema, self.cost, connection, field)
        shown = self._selected(kind, selection, item, children)
        if parent is not None:
            shown["__parentId"] = parent
        yield shown
        for nested, nested_field, child in children:
            yield from self._object(nested, nested_field, child, item["id"])

    def _selected(
        self,
        kind: GraphQLCompositeType,
        selection: SelectionSetNode,
        source: dict[str, Any],
        children: list[tuple[Any, FieldNode, dict[str, Any]]],
    ) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        for parent, node in self.cost.fields(kind, selection):
            name = node.name.value
            key = node.alias.value if node.alias else name
            if name == "__typename":
                shown[key] = source.get("__typename", kind.name)
                continue
            field = cast(GraphQLObjectType, parent).fields[name]
            if get_named_type(field.type).name.endswith(CONNECTION):
                children += [(field.type, node, child) for child in source[name]]
                continue
            arguments = get_argument_values(field, node)
            value = self.records.value(parent.name, name, field.type, source, arguments)
            if node.selection_set is None or value is None:
                shown[key] = value
                continue
            inner = cast(GraphQLCompositeType, get_named_type(field.type))
            if isinstance(value, list):
                shown[key] = [
                    self._selected(inner, node.selection_set, item, children) for item in value
                ]
            else:
                shown[key] = self._selected(inner, node.selection_set, value, children)
        return shown


def node_selection(
    schema: GraphQLSchema, cost: Cost, connection: Any, field: FieldNode
) -> tuple[GraphQLCompositeType, SelectionSetNode]:
    """The type and the selection of a connection's nodes. Raises `KeyError` if none is made."""
    kind = cast(GraphQLCompositeType, get_named_type(connection))
    assert field.selection_set is not None
    edges = chosen(cost, kind, field.selection_set)["edges"]
    edge = cast(GraphQLObjectType, schema.type_map[kind.name.replace(CONNECTION, "Edge")])
    assert edges.selection_set is not None
    node = chosen(cost, edge, edges.selection_set)["node"]
    assert node.selection_set is not None
    return (
        cast(GraphQLCompositeType, get_named_type(edge.fields["node"].type)),
        node.selection_set,
    )


def chosen(
    cost: Cost, kind: GraphQLCompositeType, selection: SelectionSetNode
) -> dict[str, FieldNode]:
    """The fields of a selection by name."""
    return {node.name.value: node for _, node in cost.fields(kind, selection)}


def refusals(schema: GraphQLSchema, query: str) -> list[str]:
    """Why Shopify would not run a query in bulk; nothing if it would."""
    try:
        document = parse(query)
    except GraphQLError as error:
        return [f"Invalid bulk query: {error.message}"]
    problems = validate(schema, document)
    if problems:
        return [f"Invalid bulk query: {problem.message}" for problem in problems]
    operation = document.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    if operation.operation is not OperationType.QUERY:
        return ["Invalid operation type. Only `query` operations are supported."]
    survey = Survey(schema, document)
    assert schema.query_type is not None
    survey.look(schema.query_type, operation.selection_set, 0, is_in_list=False)
    found = survey.problems
    if survey.connections > MOST_CONNECTIONS:
        found.append(f"Bulk queries cannot contain more than {MOST_CONNECTIONS} connections.")
    if survey.deepest > DEEPEST_NESTING + 1:
        found.append(
            "Bulk queries cannot contain connections with a nesting depth greater than "
            f"{DEEPEST_NESTING}."
        )
    if not survey.connections and not found:
        found.append("Bulk queries must contain at least one connection.")
    return list(dict.fromkeys(found))


class Survey:
    """Looks for what a bulk query must not hold."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self.schema = schema
        self.cost = Cost(schema, document)
        self.connections = 0
        self.deepest = 0
        self.problems: list[str] = []

    def look(
        self,
        kind: GraphQLCompositeType,
        selection: SelectionSetNode,
        depth: int,
        is_in_list: bool,
    ) -> None:
        """Look at a selection and at all inside it."""
        for parent, node in self.cost.fields(kind, selection):
            name = node.name.value
            if node.selection_set is None or name.startswith("__"):
                continue
            if kind is self.schema.query_type and name in ("node", "nodes"):
                self.problems.append(f"Bulk queries cannot contain a top level `{name}` field.")
                continue
            field = cast(GraphQLObjectType, parent).fields[name]
            named = cast(GraphQLCompositeType, get_named_type(field.type))
            if not named.name.endswith(CONNECTION):
                is_list = isinstance(get_nullable_type(field.type), GraphQLList)
                self.look(named, node.selection_set, depth, is_in_list or is_list)
                continue
            self.connections += 1
            self.deepest = max(self.deepest, depth + 1)
            if is_in_list:
                self.problems.append(
                    "Queries that contain a connection field within a list field are not "
                    "currently supported."
                )
            if "nodes" in chosen(self.cost, named, node.selection_set):
                self.problems.append(
                    "All connection fields in a bulk query must select their contents using "
                    "'edges' > 'node', e.g: "
                    f"'{name} {{ edges {{ node {{'. Selecting via 'nodes' is not supported. "
                    f"Invalid connection fields: '{name}'."
                )
                continue
            inner, inside = node_selection(self.schema, self.cost, field.type, node)
            if self.schema.type_map["Node"] not in getattr(inner, "interfaces", ()):
                self.problems.append(f"Connection {name} does not hold objects that are nodes.")
            nested = Survey(self.schema, DocumentNode(definitions=()))
            nested.cost = self.cost
            nested.look(inner, inside, 0, is_in_list=False)
            if nested.connections and "id" not in chosen(self.cost, inner, inside):
                self.problems.append(
                    "The parent 'node' field for a nested connection must select the 'id' field "
                    "without an alias and must be of 'ID' return type. Connection fields without "
                    f"'id': {name}."
                )
            self.look(inner, inside, depth + 1, is_in_list=False)
