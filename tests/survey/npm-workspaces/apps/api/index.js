const express = require('express');
const { price } = require('@shop/prices');
express().get('/price', (q, r) => r.json(price())).listen(4000);
