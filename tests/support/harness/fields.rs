//! The fields of a trade, as the contract's table has them.

/// The contract's names, in its order. Old producers write the first, new ones the second.
pub const NAMES: [[&str; 2]; 8] = [
    ["Token", "token"],
    ["Wallet", "wallet"],
    ["SellBuy", "sell_buy"],
    ["NativeAmount", "native_amount"],
    ["TokenAmount", "token_amount"],
    ["PriceUsd", "price_usd"],
    ["TransTime", "trans_time"],
    ["TxHash", "tx_hash"],
];
