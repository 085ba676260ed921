"""How Airflow sees Regulars: connection types, hooks, assets and the retry policy."""
