const ms = require("ms");

exports.hello = (name) => `hello ${name}, ${ms(60000)}`;
