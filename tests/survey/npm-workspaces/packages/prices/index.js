exports.price = () => 1;
