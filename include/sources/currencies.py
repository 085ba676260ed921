"""How many decimals a currency has (ISO 4217), where amounts are written in its smallest unit."""

from __future__ import annotations

from collections.abc import Mapping

USUAL_DECIMALS = 2
DECIMALS: Mapping[str, int] = {
    **dict.fromkeys(["BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF"], 0),
    **dict.fromkeys(["UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"], 0),
    **dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3),
    **dict.fromkeys(["CLF", "UYW"], 4),
}
"""Currencies with another number of decimals than the usual two."""
