def model(dbt, session):
    from include.predictions.tables import history_predictions

    return history_predictions(
        dbt.ref("int_purchase_histories"),
        dbt.ref("int_order_days"),
        dbt.ref("int_prediction_fits"),
        annual_discount_rate=dbt.config.meta_get("annual_discount_rate"),
        churn_days=dbt.config.meta_get("churn_days"),
        backtest_days=dbt.config.meta_get("backtest_days"),
    )
