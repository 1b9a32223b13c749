"""Counts what attentions with heads share: the projections into the heads, and out of them."""

from models.cost import Part, dense


def into_heads(heads: int, key_dim: int, dim: int, patches: int) -> Part:
    """Returns the cost of queries, keys and values of `heads` heads, `key_dim` wide each."""
    wide = heads * key_dim
    x, values = patches * dim, patches * wide
    return Part(
        "query_key_value",
        parameters=3 * dense(dim, wide),
        multiply_adds=3 * x * wide,
        kept=x + 3 * values,
        working=x + 3 * values,
    )


def out_of_heads(heads: int, key_dim: int, dim: int, patches: int) -> Part:
    """Returns the cost of the projection of the joined heads to `dim` features."""
    wide = heads * key_dim
    x, values = patches * dim, patches * wide
    return Part(
        "output_projection", parameters=dense(wide, dim), multiply_adds=values * dim, kept=values, working=values + x
    )
