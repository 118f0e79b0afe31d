var express = require('express');
var logger = require('morgan');

var app = express();
app.use(logger(process.env.LOG_FORMAT || 'combined'));
app.get('/healthz', function (req, res) { res.send('fine'); });

module.exports = app;
