<?php
return ['key' => env('APP_KEY'), 'name' => env('APP_NAME', 'Blog')];
